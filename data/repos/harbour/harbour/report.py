"""The harbour master's morning report."""

from harbour.berths import fee, nights


def label(number):
    if number < 10:
        return "B0" + str(number)
    else:
        return "B" + str(number)


def line(ship):
    stay = nights(ship["arrival"], ship["departure"])
    return label(ship["berth"]) + " " + ship["name"] + " " + str(fee(ship, stay))


def report(ships):
    text = ""
    for ship in ships:
        text = text + line(ship) + "\n"
    return text
