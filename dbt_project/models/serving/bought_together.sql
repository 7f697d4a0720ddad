-- Whole numbers stand for products and orders from here on: pairs of an order's lines are the largest thing a night makes in SQL.
with catalogue as (
    select
        product_id,
        is_available,
        coalesce(minimum_age, 0) as minimum_age,
        row_number() over (order by product_id) as product_number
    from {{ ref('products') }}
),

-- A product that left the shop's catalogue has no page any more, though orders name it.
pages as (
    select product_id from {{ ref('stg_products') }}
),

hidden as (
    select product_id from {{ ref('stg_products') }}
    where is_hidden
),

variants as (
    select product_id, shown_product_id from {{ ref('product_variants') }}
),

lines as (
    select distinct
        purchases.order_id,
        catalogue.product_number
    from {{ ref('purchases') }} as purchases
    inner join {{ ref('known_customers') }} as known_customers on purchases.customer_id = known_customers.customer_id
    left join variants on purchases.product_id = variants.product_id
    inner join catalogue on coalesce(variants.shown_product_id, purchases.product_id) = catalogue.product_id
    left join hidden on catalogue.product_id = hidden.product_id
    where
        known_customers.trains
        and hidden.product_id is null
        and purchases.purchased_at >= {{ minus_days(as_of(), var('basket_days')) }}
        and purchases.purchased_at < {{ as_of() }}
),

-- A wholesaler's order of hundreds of lines says little about what goes together and makes most of the pairs: some lines speak for it.
baskets as (
    select
        dense_rank() over (order by order_id) as order_number,
        product_number
    from (
        select
            order_id,
            product_number,
            row_number() over (
                partition by order_id
                order by {{ text_hash("order_id || ' ' || product_number") }}, product_number
            ) as place
        from lines
    ) as placed
    where place <= {{ var('basket_products') }}
),

total as (
    select count(distinct order_number) as orders from baskets
),

bought as (
    select product_number, count(*) as orders from baskets
    group by product_number
    having count(*) >= {{ var('basket_min_orders') }}
),

frequent as (
    select baskets.order_number, baskets.product_number
    from baskets
    inner join bought on baskets.product_number = bought.product_number
),

counted as (
    select
        one.product_number as one_number,
        other.product_number as other_number,
        count(*) as orders
    from frequent as one
    inner join frequent as other on one.order_number = other.order_number and one.product_number < other.product_number
    group by one.product_number, other.product_number
    having count(*) >= {{ var('basket_min_orders') }}
),

both_ways as (
    select one_number as product_number, other_number as bought_number, orders from counted
    union all
    select other_number as product_number, one_number as bought_number, orders from counted
),

-- By chance, orders with the one would hold the other as often as all orders do.
compared as (
    select
        catalogue.product_id,
        other_catalogue.product_id as bought_product_id,
        both_ways.orders,
        bought.orders as product_orders,
        bought.orders * cast(other_bought.orders as double) / total.orders as orders_by_chance
    from both_ways
    inner join catalogue on both_ways.product_number = catalogue.product_number
    inner join catalogue as other_catalogue on both_ways.bought_number = other_catalogue.product_number
    inner join bought on both_ways.product_number = bought.product_number
    inner join bought as other_bought on both_ways.bought_number = other_bought.product_number
    cross join total
    where other_catalogue.is_available and other_catalogue.minimum_age <= catalogue.minimum_age
),

scored as (
    select
        product_id,
        bought_product_id,
        (orders - orders_by_chance) / (product_orders + {{ var('basket_prior_orders') }}) as score,
        orders / orders_by_chance as lift,
        orders
    from compared
    where orders > orders_by_chance
),

ranked as (
    select
        product_id,
        cast(row_number() over (partition by product_id order by score desc, bought_product_id asc) as integer) as rank,
        bought_product_id,
        score,
        lift,
        orders,
        '{{ of_night("release_id") }}' as release_id
    from scored
),

-- The page of any variant shows what goes with the product.
of_variants as (
    select ranked.* from ranked
    inner join pages on ranked.product_id = pages.product_id
    where ranked.rank <= {{ var('similar_length') }}
    union all
    select
        variants.product_id,
        ranked.rank,
        ranked.bought_product_id,
        ranked.score,
        ranked.lift,
        ranked.orders,
        ranked.release_id
    from ranked
    inner join variants on ranked.product_id = variants.shown_product_id and ranked.product_id <> variants.product_id
    inner join catalogue on variants.product_id = catalogue.product_id
    where ranked.rank <= {{ var('similar_length') }}
)

select * from of_variants
order by product_id, rank
