-- The tour: the flights of New York in 2013, from a stream through a delivery into Parquet, queried where they lie,
-- loaded into a warehouse table and unloaded again. $DEMO is the folder of this tour; any psql runs the same statements.

-- 1. A stream: a durable log of two shards. The columns are how its JSON records are read.
CREATE STREAM departures (
  carrier text, flight int, tailnum text, origin text, dest text, dep_delay int, distance int, time_hour timestamptz,
  WATERMARK FOR time_hour AS time_hour - INTERVAL '1 hour'
) PARTITION KEY (origin) FORMAT JSON WITH (shards = 2, retention = '7 days');

-- 2. A delivery stream writes what comes into Parquet, every record exactly once.
CREATE DELIVERY STREAM archive FROM departures TO 'file://$DEMO/lake/departures/dt=!{timestamp:yyyy-MM-dd}/'
  FORMAT PARQUET WITH (buffer_size = '64 MB', buffer_interval = '60 s');

-- A materialized view over windows of event time keeps itself up: a week is written when its last hour has gone by.
CREATE MATERIALIZED VIEW weeks AUTO REFRESH YES AS
  SELECT window_start AS week, origin, count(*) AS flights, avg(dep_delay) AS delay
  FROM TUMBLE(TABLE departures, DESCRIPTOR(time_hour), INTERVAL '7 days') GROUP BY window_start, origin;

-- 3. The year is replayed in the order of time. Each INSERT is in the log, and synced, when it returns.
CREATE EXTERNAL TABLE published STORED AS PARQUET LOCATION 'file://$DEMO/flights.parquet';
INSERT INTO departures SELECT carrier, flight, tailnum, origin, dest, dep_delay, distance, time_hour FROM published WHERE month BETWEEN 1 AND 3 ORDER BY time_hour;
REFRESH MATERIALIZED VIEW weeks;
SELECT count(*) AS rows, max(week)::date AS last_week, sum(flights) AS flights FROM weeks;
INSERT INTO departures SELECT carrier, flight, tailnum, origin, dest, dep_delay, distance, time_hour FROM published WHERE month BETWEEN 4 AND 6 ORDER BY time_hour;
INSERT INTO departures SELECT carrier, flight, tailnum, origin, dest, dep_delay, distance, time_hour FROM published WHERE month BETWEEN 7 AND 9 ORDER BY time_hour;
REFRESH MATERIALIZED VIEW weeks;
SELECT count(*) AS rows, max(week)::date AS last_week, sum(flights) AS flights FROM weeks;
SELECT name, kind, records, rows, late, records_behind, watermark, reason FROM tidegate.continuous_queries;
SELECT shard_id, count(*) AS records, min(sequence_number) AS first, max(sequence_number) AS last FROM departures GROUP BY shard_id ORDER BY shard_id;

-- 4. Deliver now rather than in a minute, and look at the files: they are a table where they lie.
FLUSH DELIVERY STREAM archive;
SELECT delivery_stream_name, state, records, flushes FROM firehose.delivery_streams;
CREATE EXTERNAL TABLE archived (
  carrier text, flight int, tailnum text, origin text, dest text, dep_delay int, distance int, time_hour timestamptz
) PARTITIONED BY (dt date) STORED AS PARQUET LOCATION 'file://$DEMO/lake/departures/';
SELECT dt = current_date AS delivered_today, count(*) AS flights, sum(distance) AS miles FROM archived GROUP BY 1;

-- 5. The lake: CSV, JSON lines and ORC beside it, read in place.
CREATE EXTERNAL TABLE airports STORED AS CSV LOCATION 'file://$DEMO/airports.csv' TBLPROPERTIES ('skip.header.line.count' = '1');
CREATE EXTERNAL TABLE planes STORED AS JSON LOCATION 'file://$DEMO/planes.jsonl';
CREATE EXTERNAL TABLE weather STORED AS ORC LOCATION 'file://$DEMO/weather.orc';
SELECT (SELECT count(*) FROM airports) AS airports, (SELECT count(*) FROM planes) AS planes, (SELECT count(*) FROM weather) AS hours_of_weather;

-- 6. The warehouse: a managed table, loaded by COPY and changed by DML. Delta readers can open it.
CREATE TABLE airlines (carrier varchar(2) NOT NULL, name text);
COPY airlines FROM 'file://$DEMO/airlines.csv' CSV IGNOREHEADER 1;
UPDATE airlines SET name = 'Southwest Airlines' WHERE carrier = 'WN';
SELECT name, version, rows FROM tidegate.tables;

-- 7. A consumer moves its position and its rows in one transaction: nothing twice, nothing lost, whatever dies.
CREATE TABLE delays (origin text, carrier text, flights bigint, late bigint);
INSERT INTO delays SELECT origin, carrier, count(*), count(*) FILTER (WHERE dep_delay > 60) FROM departures CONSUME AS delays GROUP BY origin, carrier;
INSERT INTO departures SELECT carrier, flight, tailnum, origin, dest, dep_delay, distance, time_hour FROM published WHERE month BETWEEN 10 AND 12 ORDER BY time_hour;
INSERT INTO delays SELECT origin, carrier, count(*), count(*) FILTER (WHERE dep_delay > 60) FROM departures CONSUME AS delays GROUP BY origin, carrier;
SELECT count(*) AS groups, sum(flights) AS flights, sum(late) AS late FROM delays;

-- 8. UNLOAD writes a query's rows into files.
UNLOAD ('SELECT origin, carrier, sum(flights) AS flights, sum(late) AS late FROM delays GROUP BY origin, carrier')
  TO 'file://$DEMO/out/' FORMAT AS PARQUET PARTITION BY (origin);
SELECT count(*) AS rows, sum(flights) AS flights FROM 'file://$DEMO/out/**/*.parquet';

-- 9. Jobs: a queue, a definition as AWS writes it, and what a job printed. A job runs in a container
-- where a container engine answers that has the image or gets it, and is a process of this machine otherwise.
CREATE COMPUTE ENVIRONMENT here TYPE MANAGED WITH (runner = '$RUNNER', max_vcpus = 2);
CREATE JOB QUEUE reports PRIORITY 10 COMPUTE ENVIRONMENTS (here);
CREATE JOB DEFINITION count_lines AS '{"type": "container", "containerProperties": {"image": "busybox:1", "command": ["sh", "-c", "wc -l < Ref::file"],
  "volumes": [{"name": "data", "host": {"sourcePath": "$DEMO"}}], "mountPoints": [{"sourceVolume": "data", "containerPath": "$DEMO", "readOnly": true}]}}';
SELECT batch.submit_job('UA', 'reports', 'count_lines', parameters => '{"file": "$DEMO/airports.csv"}') AS job_id;
SELECT batch.submit_job('DL', 'reports', 'count_lines', parameters => '{"file": "$DEMO/airlines.csv"}') AS job_id;

-- 10. Two workers have joined. A query that is worth it is dealt out to all nodes; this tour's are small, so it is told.
-- CHECKPOINT seals the stream's tail into Parquet segments; what comes after it is pulled from the leader.
CHECKPOINT;
SELECT role, slots, state FROM tidegate.nodes ORDER BY role, node_id;
SET distributed_task_bytes = 100000;
EXPLAIN SELECT d.origin, l.name, count(*) FROM departures d JOIN airlines l ON l.carrier = d.carrier GROUP BY d.origin, l.name;
SELECT d.origin, l.name, count(*) AS flights FROM departures d JOIN airlines l ON l.carrier = d.carrier
GROUP BY d.origin, l.name ORDER BY flights DESC LIMIT 5;

-- 11. What the jobs have become, beside the live stream, a lake file and a warehouse table, in one query.
SELECT j.status, l.name AS airline, a.name AS destination, count(*) AS flights
FROM departures d
JOIN airlines l ON l.carrier = d.carrier
JOIN airports a ON a.faa = d.dest
JOIN batch.jobs j ON j.job_name = d.carrier
GROUP BY j.status, l.name, a.name ORDER BY flights DESC LIMIT 4;
SELECT job_name, line AS lines FROM batch.logs JOIN batch.jobs USING (job_id) ORDER BY job_name;

-- 12. One query joins the live stream, the lake in four formats, and the warehouse.
SELECT l.name AS airline, a.name AS destination, count(*) AS flights,
       round(avg(d.dep_delay), 1) AS delay, round(avg(w.wind_speed), 1) AS wind, round(avg(p.seats)) AS seats
FROM departures d
JOIN airlines l ON l.carrier = d.carrier
JOIN airports a ON a.faa = d.dest
JOIN planes p ON p.tailnum = d.tailnum
JOIN weather w ON w.origin = d.origin AND w.time_hour = d.time_hour
GROUP BY l.name, a.name ORDER BY flights DESC LIMIT 10;
