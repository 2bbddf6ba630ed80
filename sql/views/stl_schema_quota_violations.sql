-- Redshift's STL_SCHEMA_QUOTA_VIOLATIONS: transactions that did not commit because a schema would have passed its quota.
SELECT ownerid, xid, pid, userid, schema_id, schema_name, quota, disk_usage, disk_usage_pct, noted AS "timestamp"
FROM "$history".quota_violations
