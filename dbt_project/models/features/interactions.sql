with starts as (
    select
        max(starts_at) filter (where split = 'validation') as validation_starts_at,
        max(starts_at) filter (where split = 'test') as test_starts_at
    from {{ ref('splits') }}
),

labelled as (
    select
        weighted_activity.customer_id,
        weighted_activity.product_id,
        weighted_activity.event_type,
        weighted_activity.occurred_at,
        weighted_activity.event_weight,
        weighted_activity.event_weight
        * power(0.5, {{ days_between('weighted_activity.occurred_at', as_of()) }} / {{ var('half_life_days') }}) as weight,
        weighted_activity.event_type = target_event.event_type as is_target,
        case
            when weighted_activity.occurred_at >= starts.test_starts_at then 'test'
            when weighted_activity.occurred_at >= starts.validation_starts_at then 'validation'
            else 'train'
        end as split
    from {{ ref('weighted_activity') }} as weighted_activity
    cross join {{ ref('target_event') }} as target_event
    cross join starts
)

select * from labelled
order by customer_id, occurred_at, product_id, event_type
