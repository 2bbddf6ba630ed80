-- Redshift's STL_LOAD_COMMITS: the files of each load, or the parts of large ones. Status 1: loaded; 2: with bad rows.
SELECT userid, query, slice, filename AS name, filename, lines AS lines_scanned, errors, ended AS curtime,
  CASE WHEN errors = 0 THEN 1 ELSE 2 END AS status, file_format, is_partial, start_offset, copy_job_id
FROM "$history".load_files
