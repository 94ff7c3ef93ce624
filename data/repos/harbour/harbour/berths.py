"""Berths and the ships that lie at them."""


def free_berths(berths, ships):
    taken = [ship["berth"] for ship in ships]
    free = []
    for berth in berths:
        if berth not in taken:
            free.append(berth)
    return free


def nights(arrival, departure):
    """Return how many nights a ship stays; both are datetime.date."""
    return (departure - arrival).days + 1


def fee(ship, stay):
    # TODO: weekend tariff
    if ship["length"] > 50:
        rate = 40
    else:
        rate = 25
    return rate * stay


def old_fee(ship, stay):
    return 20 * stay


def berth_label(number):
    if number < 10:
        return "B0" + str(number)
    else:
        return "B" + str(number)
