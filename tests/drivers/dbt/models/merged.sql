{{ config(materialized='incremental', unique_key='id', incremental_strategy='merge') }}
select id, price, {{ var('round', 1) }} as round
from {{ ref('raw_flights') }}
{% if is_incremental() %}
where id > 3
{% endif %}
