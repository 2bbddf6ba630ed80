{{ config(materialized='incremental', unique_key='day', incremental_strategy='delete+insert') }}
select day, count(*) as flights, {{ var('round', 1) }} as round
from {{ ref('raw_flights') }}
{% if is_incremental() %}
where day >= (select max(day) from {{ this }})
{% endif %}
group by day
