// counterfoil/verify: checks evidence without the trail that made it. Runs in a browser: nothing here reaches node:.

export {}
