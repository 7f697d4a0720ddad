-- Each look ends at its first row; one look for all would go over the whole history.
with found as (
    select
        exists(select 1 from {{ ref('weighted_activity') }} where event_type = 'purchase') as any_purchase,
        exists(select 1 from {{ ref('weighted_activity') }} where event_type = 'review') as any_review,
        exists(select 1 from {{ ref('weighted_activity') }} where event_type = 'cart') as any_cart
),

named as (
    select case when any_purchase then 'purchase' when any_review then 'review' when any_cart then 'cart' else 'view' end as event_type
    from found
)

select * from named
