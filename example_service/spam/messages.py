"""Messages as a contact form gets them: paragraphs that are written anew each time, and yet always the same."""

import random
from collections.abc import Iterator

ORDINARY = (
    "The delivery of {day} was short of {number} boxes of {goods}, and {name} has signed for it.",
    "Could you send the invoice for the {goods} to our office in {town} instead?",
    "{name} and I looked at the drawings again, and the {goods} will not fit through the door.",
    "We would like to book a table for {number} in {town}, on {day} if you have one.",
    "My daughter's class visits {town} on {day}; is the museum open for groups of {number}?",
    "The printer on the second floor has been waiting for a technician since {day}.",
    "Please note that the meeting with {name} has moved to {day}, in the room beside the kitchen.",
    "I returned the {goods} in {town} {number} days ago, and the money has not arrived.",
)
SPAM = (
    "Congratulations {name}, you have been selected to win {number},000 dollars in cash!!!",
    "Click here before {day} to claim your free {goods} now, no credit card required!",
    "Lose {number} pounds in a week with this one secret that doctors in {town} hate!!",
    "Your account will be suspended on {day} unless you verify your password now.",
    "Earn ${number},000 a month from home, guaranteed, with no experience at all!",
    "Cheap pills and luxury {goods}, {number}% off, shipped to {town} without a prescription.",
    "This investment in crypto doubles your money by {day}, and {name} is rich already.",
    "Act now: only {number} of these exclusive {goods} are left for winners in {town}!",
)
EITHER = (
    "I hope that this finds you well, {name}.",
    "We spoke on the phone on {day}, when you were about to leave for {town}.",
    "You will find everything about the {goods} below.",
    "Please answer by {day}, since there are only {number} places.",
    "If you have any questions, ask for {name} in {town}.",
    "Thank you for your time, and give my best to {name}.",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
GOODS = ("lamps", "watches", "bicycles", "chairs", "phones", "curtains", "coffee machines", "shoes")
NAMES = ("Amina", "Björn", "Chiara", "Daniel", "Esther", "Farid", "Grace", "Hiroshi")
TOWNS = ("Aarhus", "Bristol", "Cork", "Dresden", "Espoo", "Florence", "Ghent", "Halifax")


def messages(count: int, seed: int) -> Iterator[tuple[str, bool]]:
    """So many messages of eight to twelve paragraphs, with whether each is spam; every other one is."""
    rng = random.Random(seed)
    for number in range(count):
        spam = number % 2 == 1
        # Spam hides among ordinary paragraphs.
        kinds = (SPAM if spam and index % 2 == 0 else ORDINARY for index in range(rng.randint(8, 12)))
        yield "\n\n".join(paragraph(rng, kind) for kind in kinds), spam


def paragraph(rng: random.Random, kind: tuple[str, ...]) -> str:
    """Five to nine sentences, of which every other one could stand in any message."""
    return " ".join(sentence(rng, rng.choice((kind, EITHER))) for _ in range(rng.randint(5, 9)))


def sentence(rng: random.Random, kind: tuple[str, ...]) -> str:
    """One of the sentences, about someone and something else each time."""
    return rng.choice(kind).format(
        day=rng.choice(DAYS),
        goods=rng.choice(GOODS),
        name=rng.choice(NAMES),
        number=rng.randint(2, 90),
        town=rng.choice(TOWNS),
    )
