// A stand-in for Stripe.js: what a checkout with the Payment Element calls, and no more. As with Stripe, the card is
// entered in a frame of this origin, and the page around it hears the payment method's name alone.
'use strict';
{
  const origin = new URL(document.currentScript.src).origin;
  const misuse = (message) => { throw new Error(`IntegrationError: ${message}`); };

  // Asks the frame, and waits for its answer.
  const ask = (frame, question) => new Promise((answer) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = (event) => answer(event.data);
    frame.contentWindow.postMessage(question, origin, [channel.port2]);
  });

  const elements = (options) => {
    if (options.mode !== 'payment') misuse('the mode is `payment`');
    if (!Number.isSafeInteger(options.amount) || options.amount < 1) misuse('`amount` is a number above zero');
    if (!/^[a-z]{3}$/.test(options.currency)) misuse('`currency` is three small letters');
    const frame = document.createElement('iframe');
    frame.src = `${origin}/elements`;
    frame.title = 'Secure payment input frame';
    frame.style.cssText = 'border:0;width:100%;height:13rem';
    let submitted = false;
    return {
      create: (type) => {
        if (type !== 'payment') misuse('the element is `payment`');
        return { mount: (at) => { (typeof at === 'string' ? document.querySelector(at) : at).append(frame); } };
      },
      submit: async () => {
        const answer = await ask(frame, 'submit');
        submitted = !answer.error;
        return answer;
      },
      name: () => {
        if (options.paymentMethodCreation !== 'manual') misuse('`paymentMethodCreation` is not `manual`');
        if (!submitted) misuse('`elements.submit()` comes first');
        return ask(frame, 'name');
      },
    };
  };

  window.Stripe = (key) => {
    if (!/^pk_(test|live)_/.test(key)) misuse('the key is a public one, `pk_...`');
    return { elements, createPaymentMethod: (options) => options.elements.name() };
  };
}
