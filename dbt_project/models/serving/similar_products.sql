with predicted as (
    {{ read_predictions('recommender', 'similar_products', {
        'product_id': 'varchar',
        'rank': 'integer',
        'similar_product_id': 'varchar',
        'score': 'double',
        'strategy': 'varchar'
    }) }}
),

-- A product that left the shop's catalogue has no page any more, though orders name it.
pages as (
    select product_id from {{ ref('stg_products') }}
),

-- The page of any variant shows what is similar to the product.
of_variants as (
    select predicted.* from predicted
    inner join pages on predicted.product_id = pages.product_id
    union all
    select
        variants.product_id,
        predicted.rank,
        predicted.similar_product_id,
        predicted.score,
        predicted.strategy
    from predicted
    inner join {{ ref('product_variants') }} as variants
        on predicted.product_id = variants.shown_product_id and predicted.product_id <> variants.product_id
    where variants.is_product
),

released as (
    select
        *,
        '{{ of_night("release_id") }}' as release_id
    from of_variants
)

select * from released
order by product_id, rank
