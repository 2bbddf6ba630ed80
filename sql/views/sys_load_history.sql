-- Redshift's SYS_LOAD_HISTORY: loads that have ended, and those that run.
SELECT userid AS user_id, query AS query_id, xid AS transaction_id, pid AS session_id, dbname AS database_name, status,
  table_name, start_time, end_time, duration, data_source, file_format, loaded_rows, loaded_bytes,
  source_files AS source_file_count, source_bytes AS source_file_bytes, scanned_files AS file_count_scanned,
  scanned_bytes AS file_bytes_scanned, errors AS error_count, copy_job_id
FROM "$history".loads
UNION ALL
SELECT userid::int, query, xid, pid::int, current_database(), 'running', table_name, start_time::timestamp,
  NULL::timestamp, NULL::bigint, data_source, file_format, loaded_rows, NULL::bigint, source_files, source_bytes,
  NULL::bigint, scanned_bytes, NULL::bigint, NULL::bigint
FROM "$history".running_loads
