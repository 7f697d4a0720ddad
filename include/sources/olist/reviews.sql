-- Olist reviews an order, not a product: the review goes to the order's first item, and without any item it names no
-- product. One review_id may stand for several orders, so the key has both.
-- review_creation_date is when the buyer was asked, review_answer_timestamp when the buyer wrote.
with people as (
    select orders.order_id, min(coalesce(customers.customer_unique_id, orders.customer_id)) as customer_id
    from orders
    left join customers on orders.customer_id = customers.customer_id
    group by orders.order_id
),

first_items as (
    select order_id, arg_min(product_id, (try_cast(order_item_id as bigint), product_id)) as product_id
    from order_items
    group by order_id
)

select
    reviews.review_id || '-' || reviews.order_id as review_id,
    first_items.product_id,
    people.customer_id,
    reviews.order_id,
    reviews.review_score as rating,
    reviews.review_comment_title as title,
    reviews.review_comment_message as text,
    coalesce(reviews.review_answer_timestamp, reviews.review_creation_date) as reviewed_at,
    reviews._file,
    reviews._row
from reviews
left join people on reviews.order_id = people.order_id
left join first_items on reviews.order_id = first_items.order_id
