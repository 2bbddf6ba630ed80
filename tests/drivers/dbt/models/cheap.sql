with dear as (select * from {{ ref('through') }})
select id from {{ ref('raw_flights') }} where id not in (select id from dear)
