select 1 as wrong
where (select sum(total) from {{ ref('carriers') }}) <> (select sum(price) from {{ ref('raw_flights') }})
