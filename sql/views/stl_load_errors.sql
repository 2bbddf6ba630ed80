-- Redshift's STL_LOAD_ERRORS: every bad row of a COPY, also of one that was rolled back.
SELECT userid, slice, table_id AS tbl, start_time AS starttime, pid AS session, query, filename, line_number, colname,
  coltype AS type, col_length, place AS position, raw_line, raw_field_value, err_code, err_reason, is_partial,
  start_offset, copy_job_id
FROM "$history".load_errors
