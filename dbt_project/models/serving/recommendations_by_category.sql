with predicted as (
    {{ read_predictions('recommendations_by_category', {
        'customer_id': 'varchar',
        'category': 'varchar',
        'rank': 'integer',
        'product_id': 'varchar',
        'score': 'double'
    }) }}
),

released as (
    select
        *,
        '{{ of_night("release_id") }}' as release_id
    from predicted
)

select * from released
order by customer_id, category, rank
