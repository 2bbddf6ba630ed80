-- Redshift's SYS_LOAD_ERROR_DETAIL: every bad row of a COPY, also of one that was rolled back.
SELECT userid AS user_id, query AS query_id, xid AS transaction_id, pid AS session_id, dbname AS database_name,
  table_id, start_time, filename AS file_name, line_number, colname AS column_name, coltype AS column_type,
  col_length AS column_length, place AS position, err_code AS error_code, err_reason AS error_message
FROM "$history".load_errors
