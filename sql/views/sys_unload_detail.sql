-- Redshift's SYS_UNLOAD_DETAIL: the same by file.
SELECT userid AS user_id, query AS query_id, xid AS transaction_id, pid AS session_id, dbname AS database_name,
  start_time, end_time, path AS file_name, line_count, transfer_size, file_format
FROM "$history".unload_files
