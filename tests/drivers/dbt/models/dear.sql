{{ config(materialized='view') }}
select f.id, f.carrier, f.price, c.flights
from {{ ref('raw_flights') }} f join {{ ref('carriers') }} c on c.carrier = f.carrier
where f.price > {{ var('dear', 10) }}
