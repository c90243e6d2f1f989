// Rounding as PyTorch and Python do it.

// Halves go to the even neighbor.
export const roundHalfEven = (value) => {
  const floor = Math.floor(value), rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
};
