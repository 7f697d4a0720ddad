with predicted as (
    {{ read_predictions('recommender', 'recommendations', {
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
        predicted.customer_id,
        predicted.rank,
        coalesce(taken.product_id, predicted.product_id) as product_id,
        predicted.score,
        predicted.strategy,
        predicted.reason,
        predicted.because_product_id,
        '{{ of_night("release_id") }}' as release_id,
        predicted.propensity
    from predicted
    -- A pin, and what was drawn by chance, stay what they are.
    left join {{ ref('taken_variants') }} as taken
        on predicted.customer_id = taken.customer_id
        and predicted.product_id = taken.shown_product_id
        and predicted.strategy not in ('pinned', 'exploration')
)

select * from released
order by customer_id, rank
