with predicted as (
    {{ read_predictions('recommendations', {
        'customer_id': 'varchar',
        'rank': 'integer',
        'product_id': 'varchar',
        'score': 'double',
        'strategy': 'varchar',
        'reason': 'varchar',
        'because_product_id': 'varchar',
        'propensity': 'double'
    }) }}
),

released as (
    select
        customer_id,
        rank,
        product_id,
        score,
        strategy,
        reason,
        because_product_id,
        '{{ of_night("release_id") }}' as release_id,
        propensity
    from predicted
)

select * from released
order by customer_id, rank
