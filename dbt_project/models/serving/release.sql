{%- set tables = ['customers', 'products', 'orders', 'order_items', 'payments', 'events', 'reviews', 'tickets', 'answers', 'campaigns'] -%}

with inputs as (
    {%- for table in tables %}
    select count(*) as input_rows from {{ ref('stg_' ~ table) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

refused as (
    select coalesce(sum(rows_quarantined), 0) as quarantined_rows from {{ source('collect', 'files') }}
    where as_of <= {{ as_of() }}
),

released as (
    select
        '{{ of_night("release_id") }}' as release_id,
        {{ as_of() }} as as_of,
        cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S") }}' as timestamp) as created_at,
        {{ quote(var('source')) }} as source,
        {{ quote(of_night('code_version')) }} as code_version,
        cast((select sum(inputs.input_rows) from inputs) as bigint) as input_rows,
        cast(refused.quarantined_rows as bigint) as quarantined_rows,
        'built' as status,
        {{ quote(var('shop')) }} as shop,
        nullif('{{ of_night("lineage") }}', '') as lineage,
        nullif({{ quote(of_night('absent_models')) }}, '') as absent_models
    from refused
)

select * from released
