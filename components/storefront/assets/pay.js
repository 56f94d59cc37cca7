// The card goes from Stripe's own fields to Stripe; the form carries only the name that Stripe gives it.
'use strict';
{
  const fields = document.getElementById('stripe-fields');
  const trouble = document.getElementById('stripe-trouble');
  const form = fields.closest('form');
  const token = form.elements.stripe_token;
  const say = (text) => { trouble.textContent = text; };

  // A name is good for one payment, and browsers bring a form back as it was left.
  window.addEventListener('pageshow', () => { token.value = ''; });

  if (typeof Stripe === 'undefined') {
    say('The fields for a card did not load. Reload the page, or choose another way to pay.');
  } else {
    const stripe = Stripe(fields.dataset.key);
    const elements = stripe.elements({
      mode: 'payment',
      amount: Number(fields.dataset.amount),
      currency: fields.dataset.currency,
      paymentMethodTypes: ['card'],
      paymentMethodCreation: 'manual',
    });
    elements.create('payment').mount(fields);
    let busy = false;
    form.addEventListener('submit', async (event) => {
      const button = event.submitter;
      const paysHere = button?.name === 'place' && form.elements.payment_provider.value === 'stripe';
      if (!paysHere || token.value) return;
      event.preventDefault();
      if (busy) return;
      busy = true;
      say('');
      try {
        const checked = await elements.submit();
        const made = checked.error ? checked : await stripe.createPaymentMethod({ elements });
        if (made.error) {
          say(made.error.message);
        } else {
          token.value = made.paymentMethod.id;
          form.requestSubmit(button);
        }
      } catch {
        say('Stripe cannot be reached. Nothing was charged; try again.');
      }
      busy = false;
    });
  }
}
