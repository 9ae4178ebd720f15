// In place of Next.js: routes outlive a deploy, so no call is of another build.

export const unstable_isUnrecognizedActionError = (_error: unknown): boolean => false
