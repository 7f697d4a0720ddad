with predicted as (
    {{ read_predictions('recommender', 'recommendations_by_category', {
        'customer_id': 'varchar',
        'category': 'varchar',
        'rank': 'integer',
        'product_id': 'varchar',
        'score': 'double'
    }) }}
),

released as (
    select
        predicted.customer_id,
        predicted.category,
        predicted.rank,
        coalesce(taken.product_id, predicted.product_id) as product_id,
        predicted.score,
        '{{ of_night("release_id") }}' as release_id
    from predicted
    left join {{ ref('taken_variants') }} as taken
        on predicted.customer_id = taken.customer_id
        and predicted.product_id = taken.shown_product_id
        and predicted.category = taken.category
)

select * from released
order by customer_id, category, rank
