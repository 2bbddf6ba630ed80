select carrier, count(*) as flights, sum(price) as total, max(day) as last_day
from {{ ref('raw_flights') }}
group by carrier
