// Stands for the package server-only, which is for the bundler of Next.js.
export {}
