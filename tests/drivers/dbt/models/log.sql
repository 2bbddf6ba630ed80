{{ config(materialized='incremental', incremental_strategy='append') }}
select id, {{ var('round', 1) }} as round
from {{ ref('raw_flights') }}
{% if is_incremental() %}
where id > 3
{% endif %}
