with predicted as (
    {{ read_predictions('similar_products', {
        'product_id': 'varchar',
        'rank': 'integer',
        'similar_product_id': 'varchar',
        'score': 'double',
        'strategy': 'varchar'
    }) }}
),

released as (
    select
        *,
        '{{ of_night("release_id") }}' as release_id
    from predicted
)

select * from released
order by product_id, rank
