{{ config(materialized='view') }}

with training as (
    select customer_id from {{ ref('known_customers') }}
    where trains
),

-- What is hidden is sold, and is no sign of taste: postage, a gift card, a deposit.
hidden as (
    select product_id from {{ ref('stg_products') }}
    where is_hidden
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

of_training as (
    select weighted.*
    from weighted
    inner join training on weighted.customer_id = training.customer_id
    left join hidden on weighted.product_id = hidden.product_id
    where weighted.event_weight > 0 and hidden.product_id is null
)

select * from of_training
