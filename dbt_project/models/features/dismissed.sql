with dismissed as (
    select
        stg_events.customer_id,
        coalesce(variants.shown_product_id, stg_events.product_id) as product_id,
        min(stg_events.occurred_at) as dismissed_at
    from {{ ref('stg_events') }} as stg_events
    left join {{ ref('product_variants') }} as variants on stg_events.product_id = variants.product_id
    where stg_events.event_type = 'not_interested' and stg_events.customer_id is not null and stg_events.product_id is not null
    group by stg_events.customer_id, coalesce(variants.shown_product_id, stg_events.product_id)
)

select * from dismissed
order by customer_id, product_id
