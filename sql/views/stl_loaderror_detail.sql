-- Redshift's STL_LOADERROR_DETAIL: the values of a bad row up to the one that is bad, of the first 20 bad rows of a load.
SELECT userid, slice, query, filename, line_number, field, colname, value, is_null
FROM "$history".load_error_fields
