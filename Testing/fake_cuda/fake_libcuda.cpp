// A stand-in for the CUDA driver library: one card of host memory that keeps the rules of the driver API.
//
// It answers what the drivers of projection/cuda ask, and refuses what the real one refuses: calls by a thread without
// a current context, addresses that were not allocated, more memory than there is. Kernels are two small functions:
//   fill(uint64 address, int32 count, float32 value)      writes floats
//   total(uint64 texture, uint64 address)                 adds all texels of a texture, and says how it would be read
// A "cubin" is the word FAKE and the names of its kernels. Tests steer it by fake_set and look at it by fake_get.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>
#include <dlfcn.h>

#define API extern "C" __attribute__((visibility("default")))
using Result = int;
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
       INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, LAUNCH_FAILED = 719,
       CAPTURE_UNSUPPORTED = 900 };

struct Array { size_t width, height, depth; int format; unsigned channels; std::vector<uint16_t> texels; };
struct Texture { Array* array; int address[3]; int filter; unsigned flags; };
struct Stream { bool capturing = false; std::vector<std::function<Result()>> recorded; };
struct Graph { std::vector<std::function<Result()>> work; };
struct Event { double at = 0; };
struct Function { std::string name; };

struct State {
    std::recursive_mutex mutex;
    bool initialized = false;
    std::map<std::string, long long> settings{{"devices", 1}, {"capability", 90}, {"version", 13000}, {"memory", 1 << 30},
                                              {"lost_after", -1}};
    std::map<std::string, long long> counts;
    std::map<uint64_t, size_t> allocated;
    std::map<void*, size_t> arrays;
    std::map<uint64_t, Texture> textures;
    std::map<std::string, Function> functions;
    size_t used = 0;
    int sticky = SUCCESS, retained = 0;
    long long launches = 0, objects = 0, next_texture = 1;
    double clock = 0;
};
static State& state() { static State* it = new State; return *it; }  // outlives every destructor of Python
static thread_local std::vector<void*> current;
static char primary, library_handle;

static Result entered(const char* name, bool needs_context = true) {
    State& s = state();
    s.counts[name]++;
    if (!s.initialized) return NOT_INITIALIZED;
    if (s.sticky) return s.sticky;
    if (needs_context && (current.empty() || !current.back())) return INVALID_CONTEXT;
    return SUCCESS;
}
#define ENTER(needs_context) std::lock_guard<std::recursive_mutex> lock(state().mutex); State& s = state(); (void)s; \
    if (Result refused = entered(__func__, needs_context)) return refused

static std::pair<uint64_t, size_t>* block_of(uint64_t address, size_t bytes) {
    static thread_local std::pair<uint64_t, size_t> found;
    for (auto& [start, size] : state().allocated)
        if (address >= start && address + bytes <= start + size) { found = {start, size}; return &found; }
    return nullptr;
}

API void fake_set(const char* key, long long value) {
    std::lock_guard<std::recursive_mutex> lock(state().mutex);
    state().settings[key] = value;
}
API long long fake_get(const char* key) {
    std::lock_guard<std::recursive_mutex> lock(state().mutex);
    State& s = state();
    std::string name = key;
    if (name == "used") return (long long)s.used;
    if (name == "objects") return s.objects + (long long)(s.allocated.size() + s.arrays.size() + s.textures.size());
    if (name == "launches") return s.launches;
    if (name == "retained") return s.retained;
    return s.counts[name];
}

// Initialisation, device, context
API Result cuInit(unsigned) {
    std::lock_guard<std::recursive_mutex> lock(state().mutex);
    state().counts["cuInit"]++;
    if (state().settings["devices"] == 0) return NO_DEVICE;
    state().initialized = true;
    return SUCCESS;
}
API Result cuDriverGetVersion(int* version) { *version = (int)state().settings["version"]; return SUCCESS; }
API Result cuDeviceGetCount(int* count) { ENTER(false); *count = (int)s.settings["devices"]; return SUCCESS; }
API Result cuDeviceGet(int* device, int number) {
    ENTER(false);
    if (number < 0 || number >= s.settings["devices"]) return INVALID_DEVICE;
    *device = number;
    return SUCCESS;
}
API Result cuDeviceGetName(char* name, int length, int) { ENTER(false); strncpy(name, "Stand-in 9000", length); return SUCCESS; }
API Result cuDeviceGetUuid(void* uuid, int) { ENTER(false); memset(uuid, 7, 16); return SUCCESS; }
API Result cuDeviceTotalMem(size_t* bytes, int) { ENTER(false); *bytes = s.settings["memory"]; return SUCCESS; }
API Result cuDeviceGetAttribute(int* value, int attribute, int) {
    ENTER(false);
    int capability = (int)s.settings["capability"];
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : attribute == 115 ? 0 : 1024;
    return SUCCESS;
}
API Result cuDevicePrimaryCtxRetain(void** context, int) { ENTER(false); s.retained++; *context = &primary; return SUCCESS; }
API Result cuDevicePrimaryCtxRelease(int) { ENTER(false); s.retained--; return SUCCESS; }
API Result cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) { ENTER(false); *flags = 0; *active = s.retained > 0; return SUCCESS; }
API Result cuCtxPushCurrent(void* context) { ENTER(false); current.push_back(context); return SUCCESS; }
API Result cuCtxPopCurrent(void** context) {
    ENTER(true);
    if (context) *context = current.back();
    current.pop_back();
    return SUCCESS;
}
API Result cuCtxSetCurrent(void* context) { ENTER(false); if (current.empty()) current.push_back(context); else current.back() = context; return SUCCESS; }
API Result cuCtxGetCurrent(void** context) { ENTER(false); *context = current.empty() ? nullptr : current.back(); return SUCCESS; }
API Result cuCtxGetDevice(int* device) { ENTER(true); *device = 0; return SUCCESS; }
API Result cuCtxGetId(void*, unsigned long long* id) { ENTER(false); *id = 1; return SUCCESS; }
API Result cuCtxSynchronize() { ENTER(true); return SUCCESS; }
API Result cuCtxGetApiVersion(void*, unsigned* version) { *version = 3020; return SUCCESS; }
API Result cuCtxGetStreamPriorityRange(int* least, int* greatest) { ENTER(true); *least = 0; *greatest = -5; return SUCCESS; }

// Memory
API Result cuMemGetInfo(size_t* free, size_t* total) {
    ENTER(true);
    *total = s.settings["memory"];
    *free = *total > s.used ? *total - s.used : 0;
    return SUCCESS;
}
API Result cuMemAlloc(uint64_t* address, size_t bytes) {
    ENTER(true);
    if (bytes == 0) return INVALID_VALUE;
    if (s.used + bytes > (size_t)s.settings["memory"]) return OUT_OF_MEMORY;
    *address = (uint64_t)malloc(bytes);
    memset((void*)*address, 0xCD, bytes);
    s.allocated[*address] = bytes;
    s.used += bytes;
    return SUCCESS;
}
API Result cuMemFree(uint64_t address) {
    ENTER(true);
    auto found = s.allocated.find(address);
    if (found == s.allocated.end()) return INVALID_VALUE;
    s.used -= found->second;
    free((void*)address);
    s.allocated.erase(found);
    return SUCCESS;
}
API Result cuMemcpyHtoDAsync(uint64_t target, const void* source, size_t bytes, Stream* stream) {
    ENTER(true);
    if (stream && stream->capturing) return CAPTURE_UNSUPPORTED;  // what pageable memory answers
    if (!block_of(target, bytes)) return INVALID_VALUE;
    memcpy((void*)target, source, bytes);
    return SUCCESS;
}
API Result cuMemcpyDtoHAsync(void* target, uint64_t source, size_t bytes, Stream* stream) {
    ENTER(true);
    if (stream && stream->capturing) return CAPTURE_UNSUPPORTED;
    if (!block_of(source, bytes)) return INVALID_VALUE;
    memcpy(target, (void*)source, bytes);
    return SUCCESS;
}

// Arrays and textures
struct ArrayDescriptor { size_t width, height, depth; int format; unsigned channels, flags; };
struct CopySide { size_t x, y, z, lod; int memory; const void* host; uint64_t device; Array* array; void* reserved; size_t pitch, height; };
struct Copy3D { CopySide source, target; size_t width_bytes, height, depth; };
struct Resource { int kind; union { Array* array; int reserved[32]; } what; unsigned flags; };
struct Sampling { int address[3], filter; unsigned flags, anisotropy; int mip_filter; float bias, least, most, border[4]; int reserved[12]; };

API Result cuArray3DCreate(Array** array, const ArrayDescriptor* d) {
    ENTER(true);
    if (!d->width || !d->height || !d->depth || d->width > 16384 || d->height > 16384 || d->depth > 16384) return INVALID_VALUE;
    if (d->format != 2 || (d->channels != 1 && d->channels != 2 && d->channels != 4)) return INVALID_VALUE;
    size_t bytes = d->width * d->height * d->depth * d->channels * 2;
    if (s.used + bytes > (size_t)s.settings["memory"]) return OUT_OF_MEMORY;
    *array = new Array{d->width, d->height, d->depth, d->format, d->channels, std::vector<uint16_t>(bytes / 2, 0xABCD)};
    s.arrays[*array] = bytes;
    s.used += bytes;
    return SUCCESS;
}
API Result cuArrayDestroy(Array* array) {
    ENTER(true);
    auto found = s.arrays.find(array);
    if (found == s.arrays.end()) return INVALID_HANDLE;
    for (auto& [handle, texture] : s.textures) if (texture.array == array) return INVALID_HANDLE;  // stricter: still read
    s.used -= found->second;
    s.arrays.erase(found);
    delete array;
    return SUCCESS;
}
API Result cuMemcpy3D(const Copy3D* c) {
    ENTER(true);
    Array* array = c->target.array;
    if (c->source.memory != 1 || c->target.memory != 3 || !s.arrays.count(array)) return INVALID_VALUE;
    size_t texel = 2 * array->channels, row = array->width * texel;
    if (c->width_bytes > row || c->height > array->height || c->depth > array->depth) return INVALID_VALUE;
    if (c->source.pitch < c->width_bytes || c->source.height < c->height) return INVALID_VALUE;
    for (size_t k = 0; k < c->depth; k++)
        for (size_t j = 0; j < c->height; j++)
            memcpy((char*)array->texels.data() + (k * array->height + j) * row,
                   (const char*)c->source.host + (k * c->source.height + j) * c->source.pitch, c->width_bytes);
    return SUCCESS;
}
API Result cuTexObjectCreate(uint64_t* texture, const Resource* resource, const Sampling* sampling, const void* view) {
    ENTER(true);
    if (resource->kind != 0 || resource->flags != 0 || !s.arrays.count(resource->what.array) || view) return INVALID_VALUE;
    if (sampling->filter == 1 && (sampling->flags & 1)) return INVALID_VALUE;  // integers cannot be weighed
    *texture = (uint64_t)s.next_texture++;
    Texture made{resource->what.array, {}, sampling->filter, sampling->flags};
    memcpy(made.address, sampling->address, sizeof made.address);
    s.textures[*texture] = made;
    return SUCCESS;
}
API Result cuTexObjectDestroy(uint64_t texture) { ENTER(true); return s.textures.erase(texture) ? SUCCESS : INVALID_HANDLE; }

// Code
static std::map<std::string, std::vector<int>> signatures{{"fill", {8, 4, 4}}, {"total", {8, 8}}};

static Result load(const void* image) {
    const char* text = (const char*)image;
    if (strncmp(text, "FAKE", 4)) return INVALID_IMAGE;
    for (auto& [name, sizes] : signatures)
        if (strstr(text, name.c_str())) state().functions[name] = Function{name};
    return SUCCESS;
}
static Result find(Function** function, const char* name) {
    auto found = state().functions.find(name);
    if (found == state().functions.end()) return NOT_FOUND;
    *function = &found->second;
    return SUCCESS;
}
API Result cuLibraryLoadData(void** library, const void* code, int*, void**, unsigned, int*, void**, unsigned) { ENTER(true); *library = &library_handle; return load(code); }
API Result cuLibraryUnload(void*) { ENTER(false); return SUCCESS; }
API Result cuLibraryGetKernel(Function** kernel, void*, const char* name) { ENTER(true); return find(kernel, name); }
API Result cuKernelGetFunction(Function** function, Function* kernel) { ENTER(true); *function = kernel; return SUCCESS; }
API Result cuKernelGetLibrary(void** library, Function*) { ENTER(false); *library = &library_handle; return SUCCESS; }
API Result cuKernelGetAttribute(int* value, int, Function*, int) { ENTER(true); *value = 0; return SUCCESS; }
API Result cuModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) { ENTER(true); *module = &library_handle; return load(image); }
API Result cuModuleLoadData(void** module, const void* image) { ENTER(true); *module = &library_handle; return load(image); }
API Result cuModuleUnload(void*) { ENTER(true); return SUCCESS; }
API Result cuModuleGetFunction(Function** function, void*, const char* name) { ENTER(true); return find(function, name); }
API Result cuFuncSetBlockShape(Function*, int, int, int) { ENTER(true); return SUCCESS; }
API Result cuFuncGetAttribute(int* value, int, Function*) { ENTER(true); *value = 0; return SUCCESS; }

static Result run(const std::string& name, const std::vector<std::vector<char>>& values) {
    State& s = state();
    auto as64 = [&](int n) { uint64_t value; memcpy(&value, values[n].data(), 8); return value; };
    s.clock += 0.25;
    if (s.settings["lost_after"] >= 0 && s.launches >= s.settings["lost_after"]) { s.sticky = LAUNCH_FAILED; return SUCCESS; }
    s.launches++;
    if (name == "fill") {
        int count; float value;
        memcpy(&count, values[1].data(), 4);
        memcpy(&value, values[2].data(), 4);
        if (!block_of(as64(0), 4 * (size_t)count)) { s.sticky = 700; return SUCCESS; }
        for (int n = 0; n < count; n++) ((float*)as64(0))[n] = value;
    } else {
        auto found = s.textures.find(as64(0));
        if (found == s.textures.end() || !block_of(as64(1), 64)) { s.sticky = 700; return SUCCESS; }
        double* out = (double*)as64(1);
        const Texture& t = found->second;
        double sum = 0;
        for (size_t n = 0; n < t.array->texels.size(); n++) sum += (double)t.array->texels[n] * (1 + n % 7);
        double said[8] = {sum, (double)t.array->width, (double)t.array->height, (double)t.array->depth,
                          (double)t.array->channels, (double)t.filter, (double)t.flags, (double)t.address[0]};
        memcpy(out, said, sizeof said);
    }
    return SUCCESS;
}
static Result launch(Function* function, Stream* stream, void** parameters, void** extra) {
    const auto& sizes = signatures[function->name];
    std::vector<std::vector<char>> values;
    if (parameters) {
        for (size_t n = 0; n < sizes.size(); n++) values.emplace_back((char*)parameters[n], (char*)parameters[n] + sizes[n]);
    } else {
        if (!extra || extra[0] != (void*)1 || extra[2] != (void*)2) return INVALID_VALUE;
        const char* buffer = (const char*)extra[1];
        size_t at = 0, length = *(size_t*)extra[3];
        for (int size : sizes) {
            at = (at + size - 1) / size * size;
            if (at + size > length) return INVALID_VALUE;
            values.emplace_back(buffer + at, buffer + at + size);
            at += size;
        }
    }
    std::string name = function->name;
    auto work = [name, values] { return run(name, values); };
    if (stream && stream->capturing) { stream->recorded.push_back(work); return SUCCESS; }
    return work();
}
static bool fits(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz) {
    return gx && gy && gz && bx && by && bz && gy <= 65535 && gz <= 65535 && bx * by * bz <= 1024 && bz <= 64;
}
API Result cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned, Stream* stream, void** parameters, void** extra) {
    ENTER(true);
    return fits(gx, gy, gz, bx, by, bz) ? launch(function, stream, parameters, extra) : INVALID_VALUE;
}
struct LaunchConfig { unsigned gx, gy, gz, bx, by, bz, shared; Stream* stream; void* attributes; unsigned count; };
API Result cuLaunchKernelEx(const LaunchConfig* c, Function* function, void** parameters, void** extra) {
    ENTER(true);
    return fits(c->gx, c->gy, c->gz, c->bx, c->by, c->bz) ? launch(function, c->stream, parameters, extra) : INVALID_VALUE;
}

// Streams, events, graphs
API Result cuStreamCreate(Stream** stream, unsigned) { ENTER(true); *stream = new Stream; s.objects++; return SUCCESS; }
API Result cuStreamCreateWithPriority(Stream** stream, unsigned, int) { ENTER(true); *stream = new Stream; s.objects++; return SUCCESS; }
API Result cuStreamDestroy(Stream* stream) { ENTER(false); delete stream; s.objects--; return SUCCESS; }
API Result cuStreamSynchronize(Stream* stream) { ENTER(true); return stream && stream->capturing ? CAPTURE_UNSUPPORTED : SUCCESS; }
API Result cuStreamQuery(Stream*) { ENTER(true); return SUCCESS; }
API Result cuStreamGetCtx(Stream*, void** context) { ENTER(false); *context = &primary; return SUCCESS; }
API Result cuStreamGetFlags(Stream*, unsigned* flags) { ENTER(false); *flags = 1; return SUCCESS; }
API Result cuStreamGetPriority(Stream*, int* priority) { ENTER(false); *priority = 0; return SUCCESS; }
API Result cuStreamBeginCapture(Stream* stream, int) {
    ENTER(true);
    if (!stream || stream->capturing) return CAPTURE_UNSUPPORTED;  // the default stream cannot be recorded
    stream->capturing = true;
    return SUCCESS;
}
API Result cuStreamEndCapture(Stream* stream, Graph** graph) {
    ENTER(true);
    *graph = new Graph{stream->recorded};
    s.objects++;
    stream->capturing = false;
    stream->recorded.clear();
    return SUCCESS;
}
API Result cuGraphInstantiateWithFlags(Graph** made, Graph* graph, unsigned long long) { ENTER(true); *made = new Graph(*graph); s.objects++; return SUCCESS; }
API Result cuGraphDestroy(Graph* graph) { ENTER(false); delete graph; s.objects--; return SUCCESS; }
API Result cuGraphExecDestroy(Graph* graph) { ENTER(false); delete graph; s.objects--; return SUCCESS; }
API Result cuGraphLaunch(Graph* graph, Stream*) {
    ENTER(true);
    for (auto& work : graph->work) if (Result failed = work()) return failed;
    return SUCCESS;
}
API Result cuEventCreate(Event** event, unsigned) { ENTER(true); *event = new Event; s.objects++; return SUCCESS; }
API Result cuEventDestroy(Event* event) { ENTER(false); delete event; s.objects--; return SUCCESS; }
API Result cuEventRecord(Event* event, Stream*) { ENTER(true); event->at = s.clock; return SUCCESS; }
API Result cuEventSynchronize(Event*) { ENTER(true); return SUCCESS; }
API Result cuEventElapsedTime(float* milliseconds, Event* begin, Event* end) { ENTER(true); *milliseconds = (float)(end->at - begin->at); return SUCCESS; }

// Words, and the table by which cuda-bindings finds all of the above
API Result cuGetErrorName(int code, const char** name) {
    *name = code == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : code == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED"
          : code == NOT_FOUND ? "CUDA_ERROR_NOT_FOUND" : code == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_OTHER";
    return SUCCESS;
}
API Result cuGetErrorString(int code, const char** text) {
    *text = code == OUT_OF_MEMORY ? "out of memory" : code == LAUNCH_FAILED ? "unspecified launch failure"
          : code == NOT_FOUND ? "named symbol not found" : "another error";
    return SUCCESS;
}
API Result cuGetProcAddress_v2(const char* symbol, void** function, int, unsigned long long, int* status) {
    static void* self = [] { Dl_info info; dladdr((void*)&cuInit, &info); return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD); }();
    std::string name = symbol;
    if (name == "cuGetProcAddress") name = "cuGetProcAddress_v2";
    *function = dlsym(self, name.c_str());
    if (status) *status = *function ? 0 : 1;
    return *function ? SUCCESS : NOT_FOUND;
}
API Result cuGetProcAddress(const char* symbol, void** function, int version, unsigned long long flags) { return cuGetProcAddress_v2(symbol, function, version, flags, nullptr); }

// The names that the library exports where a function has had a second version
#define ALIASES(name, version, ...) API Result name##version(__VA_ARGS__) __attribute__((alias(#name)))
ALIASES(cuDeviceTotalMem, _v2, size_t*, int);
ALIASES(cuDeviceGetUuid, _v2, void*, int);
ALIASES(cuDevicePrimaryCtxRelease, _v2, int);
ALIASES(cuCtxPushCurrent, _v2, void*);
ALIASES(cuCtxPopCurrent, _v2, void**);
ALIASES(cuMemGetInfo, _v2, size_t*, size_t*);
ALIASES(cuMemAlloc, _v2, uint64_t*, size_t);
ALIASES(cuMemFree, _v2, uint64_t);
ALIASES(cuMemcpyHtoDAsync, _v2, uint64_t, const void*, size_t, Stream*);
ALIASES(cuMemcpyDtoHAsync, _v2, void*, uint64_t, size_t, Stream*);
ALIASES(cuArray3DCreate, _v2, Array**, const ArrayDescriptor*);
ALIASES(cuMemcpy3D, _v2, const Copy3D*);
ALIASES(cuStreamDestroy, _v2, Stream*);
ALIASES(cuStreamBeginCapture, _v2, Stream*, int);
ALIASES(cuEventDestroy, _v2, Event*);
