// Preloaded into every process of an adverse rebuild: the entries of a directory come sorted by
// name, from the last to the first. The file system's own order, which an ordinary build sees, is
// that of its hashes.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// The toolchain hides what is not asked for.
#define EXPORT __attribute__((visibility("default")))

// On amd64 struct dirent and struct dirent64 are the same.
typedef struct dirent* (*ReadFunction)(DIR*);
typedef int (*CloseFunction)(DIR*);
typedef void (*RewindFunction)(DIR*);

// What was read of an open directory.
struct Listing {
  DIR* directory;
  struct dirent** entries;
  size_t count;
  size_t next;
  struct Listing* following;
};

static struct Listing* listings = NULL;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int FromLastToFirst(const void* a, const void* b) {
  return strcmp((*(struct dirent* const*)b)->d_name, (*(struct dirent* const*)a)->d_name);
}

static struct Listing** Find(DIR* directory) {
  struct Listing** at = &listings;
  while (*at != NULL && (*at)->directory != directory) {
    at = &(*at)->following;
  }
  return at;
}

static void Forget(DIR* directory) {
  pthread_mutex_lock(&lock);
  struct Listing** at = Find(directory);
  struct Listing* found = *at;
  if (found != NULL) {
    *at = found->following;
  }
  pthread_mutex_unlock(&lock);
  if (found == NULL) {
    return;
  }
  for (size_t i = 0; i < found->count; ++i) {
    free(found->entries[i]);
  }
  free(found->entries);
  free(found);
}

static struct Listing* ReadAll(DIR* directory) {
  ReadFunction real = (ReadFunction)dlsym(RTLD_NEXT, "readdir64");
  struct Listing* listing = calloc(1, sizeof(struct Listing));
  if (listing == NULL) {
    abort();
  }
  listing->directory = directory;
  for (struct dirent* entry; (entry = real(directory)) != NULL;) {
    listing->entries = realloc(listing->entries, (listing->count + 1) * sizeof(struct dirent*));
    struct dirent* copy = malloc(sizeof(struct dirent));
    if (listing->entries == NULL || copy == NULL) {
      abort();
    }
    memcpy(copy, entry,
           entry->d_reclen < sizeof(struct dirent) ? entry->d_reclen : sizeof(struct dirent));
    listing->entries[listing->count++] = copy;
  }
  if (listing->count > 1) {
    qsort(listing->entries, listing->count, sizeof(struct dirent*), FromLastToFirst);
  }
  return listing;
}

EXPORT struct dirent* readdir(DIR* directory) {
  pthread_mutex_lock(&lock);
  struct Listing* listing = *Find(directory);
  pthread_mutex_unlock(&lock);
  if (listing == NULL) {
    listing = ReadAll(directory);
    pthread_mutex_lock(&lock);
    listing->following = listings;
    listings = listing;
    pthread_mutex_unlock(&lock);
  }
  return listing->next < listing->count ? listing->entries[listing->next++] : NULL;
}

EXPORT struct dirent64* readdir64(DIR* directory) { return (struct dirent64*)readdir(directory); }

EXPORT int closedir(DIR* directory) {
  Forget(directory);
  return ((CloseFunction)dlsym(RTLD_NEXT, "closedir"))(directory);
}

EXPORT void rewinddir(DIR* directory) {
  Forget(directory);
  ((RewindFunction)dlsym(RTLD_NEXT, "rewinddir"))(directory);
}
