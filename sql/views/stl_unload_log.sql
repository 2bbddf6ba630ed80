-- Redshift's STL_UNLOAD_LOG: the files of each UNLOAD that completed.
SELECT userid, query, slice, pid, path, start_time, end_time, line_count, transfer_size, file_format
FROM "$history".unload_files
