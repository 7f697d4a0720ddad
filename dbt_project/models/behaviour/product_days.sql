{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    incremental_predicates=["activity_date >= cast({{ rebuild_from() }} as date)"]
) }}

with visitors as (
    select
        cast(occurred_at as date) as activity_date,
        product_id,
        coalesce(customer_id, 'session:' || session_id) as visitor_id,
        bool_or(event_type = 'view') as viewed,
        bool_or(event_type = 'cart') as carted
    from {{ ref('stg_events') }}
    where
        product_id is not null
        and event_type in ('view', 'cart')
        {%- if is_incremental() %}
        and occurred_at >= {{ midnight(rebuild_from()) }}
        {%- endif %}
    group by activity_date, product_id, visitor_id
),

counted as (
    select
        activity_date,
        product_id,
        count(*) filter (where viewed) as viewers,
        count(*) filter (where carted) as carters
    from visitors
    group by activity_date, product_id
)

select * from counted
