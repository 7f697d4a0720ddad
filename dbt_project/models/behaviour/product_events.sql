{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    incremental_predicates=["occurred_at >= {{ rebuild_from() }}"]
) }}

with events as (
    select customer_id, product_id, event_type, occurred_at from {{ ref('stg_events') }}
    where
        product_id is not null
        and event_type in ('view', 'cart', 'wishlist', 'recommendation_click')
        {%- if is_incremental() %}
        and occurred_at >= {{ rebuild_from() }}
        {%- endif %}
)

select * from events
