-- Households by their number alone: what the data tells about their people stays out.
select distinct household_id as customer_id from transactions
where household_id is not null
