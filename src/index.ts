// counterfoil: the root door. What a user of the library meets: trail, session, event, receipt.

export {}
