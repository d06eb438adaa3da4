// SPDX-License-Identifier: MIT
// map_cxx - the client library from C++: a file is created, mapped, changed and committed.
// usage: map_cxx FILE
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>

#include <zc/map.h>

namespace {

struct closer {
	void operator()(zc_file *file) const { zc_close(file); }
};

int failed()
{
	std::fprintf(stderr, "map_cxx: %s\n", zc_error());
	return 1;
}

} // namespace

int main(int argc, char **argv)
{
	zc_file *opened = nullptr;
	void *map = nullptr;

	if (argc != 2)
		return 2;
	if (zc_create(argv[1], ZC_RDWR, 0644, 8192, &opened) < 0)
		return failed();
	std::unique_ptr<zc_file, closer> file(opened);
	if (zc_map(file.get(), 0, &map) < 0)
		return failed();
	auto counter = static_cast<std::atomic<std::uint64_t> *>(map);
	std::uint64_t value = ++*counter;
	if (zc_commit(file.get()) < 0)
		return failed();
	std::printf("%s %llu\n", zc_version(), static_cast<unsigned long long>(value));
	return 0;
}
