{{ config(materialized='view') }}

with consenting as (
    select customer_id from {{ ref('known_customers') }}
    where consent
),

weighted as (
    select
        customer_id,
        product_id,
        event_type,
        occurred_at,
        {{ event_weight('event_type') }} as event_weight
    from {{ ref('activity') }}
),

of_consenting as (
    select weighted.*
    from weighted
    inner join consenting on weighted.customer_id = consenting.customer_id
    where weighted.event_weight > 0
)

select * from of_consenting
