-- Redshift's STL_REPLACEMENTS: values in which ACCEPTINVCHARS replaced bytes.
SELECT userid, query, slice, table_id AS tbl, start_time AS starttime, pid AS session, filename, line_number, colname,
  raw_line
FROM "$history".load_replacements
