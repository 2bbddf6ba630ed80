-- Redshift's SYS_LOAD_DETAIL: the files of each load, or the parts of large ones.
SELECT userid AS user_id, query AS query_id, slice AS slice_id, filename AS file_name, lines AS lines_scanned, bytes,
  ended AS record_time, errors AS error_count, file_format, is_partial, start_offset, copy_job_id
FROM "$history".load_files
