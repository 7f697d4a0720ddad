with categories as (
    select product_id, category from {{ ref('stg_products') }}
    where category is not null
),

-- Ages are counted from the customer's last activity: shares stay the same, and the weights of a customer long gone do not vanish.
aged as (
    select
        weighted_activity.customer_id,
        categories.category,
        weighted_activity.event_weight,
        {{ days_between('weighted_activity.occurred_at', 'customer_rfm.last_seen_at') }} as age_days
    from {{ ref('weighted_activity') }} as weighted_activity
    inner join categories on weighted_activity.product_id = categories.product_id
    inner join {{ ref('customer_rfm') }} as customer_rfm on weighted_activity.customer_id = customer_rfm.customer_id
),

summed as (
    select
        customer_id,
        category,
        {{ exact_sum('event_weight * power(0.5, age_days / ' ~ var('half_life_days') ~ ')') }} as weight
    from aged
    group by customer_id, category
),

shared as (
    select
        customer_id,
        category,
        round(weight / sum(weight) over (partition by customer_id), 4) as share
    from summed
)

select * from shared
order by customer_id asc, share desc, category asc
