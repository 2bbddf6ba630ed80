{% snapshot prices %}
{{ config(target_schema=target.schema, unique_key='id', strategy='check', check_cols=['price']) }}
select id, price from {{ ref('raw_flights') }}
{% endsnapshot %}
