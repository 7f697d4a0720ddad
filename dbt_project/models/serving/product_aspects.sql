with source as (
    {{ read_predictions('aspects', 'product_aspects', {
        'product_id': 'varchar',
        'aspect': 'varchar',
        'mentions': 'bigint',
        'score': 'double',
        'positive': 'bigint',
        'negative': 'bigint',
        'example': 'varchar',
        'example_review_id': 'varchar'
    }) }}
),

released as (
    select
        product_id,
        aspect,
        mentions,
        score,
        positive,
        negative,
        coalesce({{ plain_text('example') }}, example) as example,
        example_review_id,
        '{{ of_night("release_id") }}' as release_id
    from source
)

select * from released
order by product_id, aspect
