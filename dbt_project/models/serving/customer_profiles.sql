with ranked as (
    select
        customer_id,
        category,
        share,
        row_number() over (partition by customer_id order by share desc, category asc) as place
    from {{ ref('customer_interests') }}
),

interests as (
    select
        customer_id,
        max(category) filter (where place = 1) as top_category,
        {{ json_object_of('category', 'round(share, 2)', 'place') }} as interests
    from ranked
    where place <= {{ var('interests_listed') }}
    group by customer_id
),

profiles as (
    select
        customer_rfm.customer_id,
        customer_rfm.segment,
        customer_rfm.recency_days,
        customer_rfm.frequency,
        customer_rfm.monetary,
        interests.top_category,
        interests.interests,
        customer_rfm.last_seen_at,
        cast(null as double) as churn_probability,
        cast(null as double) as next_purchase_days,
        '{{ of_night("release_id") }}' as release_id
    from {{ ref('customer_rfm') }} as customer_rfm
    left join interests on customer_rfm.customer_id = interests.customer_id
)

select * from profiles
order by customer_id
