-- Redshift's SYS_UNLOAD_HISTORY: UNLOADs that have ended, and how.
SELECT userid AS user_id, query AS query_id, xid AS transaction_id, pid AS session_id, dbname AS database_name, status,
  start_time, end_time, duration, file_format, compression AS compression_type, location AS unloaded_location,
  unloaded_rows, unloaded_files AS unloaded_files_count, unloaded_bytes AS unloaded_files_size, error_message
FROM "$history".unloads
